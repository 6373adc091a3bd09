/** The fields of `T` without `readonly`, for the code that fills it in. */
export type Writable<T> = { -readonly [Name in keyof T]: T[Name] };
